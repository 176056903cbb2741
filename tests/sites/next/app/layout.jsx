import Link from 'next/link'
import './coast.css'

export const metadata = { title: { default: 'Ship log', template: '%s · Ship log' }, description: 'What passes an imaginary coast.' }

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <header>
          <Link href="/">Ship log</Link>
          <Link href="/ships">Ships</Link>
          <Link href="/log/2024/storm">The storm</Link>
        </header>
        <main>{children}</main>
      </body>
    </html>
  )
}
