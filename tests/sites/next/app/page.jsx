import Image from 'next/image'
import Link from 'next/link'

export default function Home() {
  return (
    <>
      <h1>Ship log</h1>
      <Image src="/night.png" alt="The light of Gull Point over a calm sea" width={240} height={120} priority />
      <p>
        <Link href="/ships">The ships</Link> that pass, <Link href="/log/2024/storm">one storm</Link>, and <a href="/ships.json">a list for programs</a>.
      </p>
    </>
  )
}
