export default {
  output: 'export',
  images: { unoptimized: true },
  // The same build has the same bytes wherever it is made.
  generateBuildId: () => 'ship-log',
}
