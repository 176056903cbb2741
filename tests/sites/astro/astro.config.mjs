import { defineConfig, passthroughImageService } from 'astro/config'

export default defineConfig({
  site: 'https://tides.example',
  // Each page is `index.html` in a directory of its own.
  build: { format: 'directory', inlineStylesheets: 'never' },
  // Pictures are copied as they are, so that no native library is needed.
  image: { service: passthroughImageService() },
  devToolbar: { enabled: false },
})
