import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// One source, two editions. EDITION is replaced by its text wherever it stands: in every page and in the
// worker. So no hashed script of one edition has the name of a script of the other, while the image, the
// font and the style sheets are the same files in both, as in a real next release.
export default defineConfig(({ mode }) => {
  const second = mode === 'second'
  return {
    plugins: [react()],
    define: { EDITION: JSON.stringify(second ? 'second edition' : 'first edition') },
    build: { outDir: second ? 'dist-second' : 'dist', emptyOutDir: true },
    worker: { format: 'es' },
  }
})
