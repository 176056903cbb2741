import { defineConfig } from 'vitepress'

// The same pages in both builds: links with `.html`, or without (`yarn build:clean`).
const cleanUrls = process.env.npm_lifecycle_event === 'build:clean'

export default defineConfig({
  lang: 'en',
  title: "Keeper's handbook",
  description: 'How a lighthouse is kept, on an imaginary coast.',
  cleanUrls,
  head: [['link', { rel: 'icon', href: '/favicon.svg', type: 'image/svg+xml' }]],
  sitemap: { hostname: 'https://handbook.example' },
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/guide/' },
      { text: 'Lights', link: '/lights/' },
    ],
    sidebar: [
      {
        text: 'Guide',
        items: [
          { text: 'First night', link: '/guide/' },
          { text: 'The lamp', link: '/guide/lamp' },
          { text: 'Le brûleur', link: '/guide/brûleur' },
          { text: 'Fog signals', link: '/guide/fog/signals' },
        ],
      },
      {
        text: 'Lights',
        items: [
          { text: 'All lights', link: '/lights/' },
          { text: 'Gull Point', link: '/lights/gull-point' },
          { text: 'Long Ness', link: '/lights/long-ness' },
        ],
      },
    ],
  },
})
