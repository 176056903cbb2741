/** A page for each light. */
export default {
  paths: () => [
    { params: { light: 'gull-point', name: 'Gull Point', period: 4 }, content: 'Its keeper kept bees.' },
    { params: { light: 'long-ness', name: 'Long Ness', period: 10 }, content: 'Red and white, and tall.' },
  ],
}
