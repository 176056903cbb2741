import Link from 'next/link'

export const metadata = { title: 'The storm' }

export default function Storm() {
  return (
    <>
      <h1>The storm</h1>
      <p>
        Three days of it. Only the <Link href="/ships/petrel">Petrel</Link> passed, as it was a Tuesday.
      </p>
    </>
  )
}
