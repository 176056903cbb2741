import { defineConfig } from 'vite'
import { VitePWA } from 'vite-plugin-pwa'

// Two editions of a site of several pages, and of each two variants:
// - the worker of a new release takes over at once, and pages load themselves again (`autoUpdate`);
// - `waiting`: it waits until all tabs of the old one are closed, as Workbox has it unless it is told otherwise.
export default defineConfig(({ mode }) => {
  const edition = mode.endsWith('second') ? 'second edition' : 'first edition'
  const waits = mode.startsWith('waiting')
  return {
    define: { EDITION: JSON.stringify(edition) },
    build: {
      assetsInlineLimit: 0,
      outDir: mode === 'production' ? 'dist' : `dist-${mode}`,
      emptyOutDir: true,
      rollupOptions: { input: ['index.html', 'about.html', 'lights/index.html', '404.html'] },
    },
    plugins: [
      VitePWA({
        registerType: waits ? 'prompt' : 'autoUpdate',
      // src/main.js registers it.
      injectRegister: null,
        manifest: {
          name: 'Pocket light list',
          short_name: 'Lights',
          start_url: '/',
          theme_color: '#2f4a86',
          icons: [{ src: '/favicon.svg', sizes: 'any', type: 'image/svg+xml' }],
        },
        workbox: {
          globPatterns: ['**/*.{html,js,css,png,svg,webmanifest}'],
          // Each page is itself, also offline.
          navigateFallback: null,
        },
      }),
    ],
  }
})
