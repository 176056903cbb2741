import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// Builds two editions from one source. The text of EDITION is inlined into every page and into the worker, so
// all scripts have other hashed names in the other edition, while the image, the font and the style sheets are
// the same files in both, as in a typical next release.
export default defineConfig(({ mode }) => {
  const second = mode === 'second'
  return {
    plugins: [react()],
    define: { EDITION: JSON.stringify(second ? 'second edition' : 'first edition') },
    build: { outDir: second ? 'dist-second' : 'dist', emptyOutDir: true },
    worker: { format: 'es' },
  }
})
