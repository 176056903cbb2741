import Link from 'next/link'
import { ships } from '../../ships'

export const dynamicParams = false
export const generateStaticParams = () => ships.map(({ id }) => ({ ship: id }))

async function found(params) {
  const { ship } = await params
  return ships.find(({ id }) => id === decodeURIComponent(ship))
}

export async function generateMetadata({ params }) {
  return { title: (await found(params)).name }
}

export default async function Ship({ params }) {
  const { name, rig, story } = await found(params)
  return (
    <>
      <h1>{name}</h1>
      <p>
        A {rig}. {story}
      </p>
      <p>
        Back to <Link href="/ships">all ships</Link>.
      </p>
    </>
  )
}
