import Link from 'next/link'

export default function Missing() {
  return (
    <>
      <h1>Nothing in sight</h1>
      <p>
        No ship of this name has passed. See <Link href="/ships">those that have</Link>.
      </p>
    </>
  )
}
