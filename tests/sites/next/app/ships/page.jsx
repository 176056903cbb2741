import Link from 'next/link'
import { ships } from '../ships'
import { Tally } from './Tally'

export const metadata = { title: 'Ships' }

export default function Ships() {
  return (
    <>
      <h1>Ships</h1>
      <ul>
        {ships.map(({ id, name }) => (
          <li key={id}>
            <Link href={`/ships/${id}`}>{name}</Link>
          </li>
        ))}
      </ul>
      <Tally />
    </>
  )
}
