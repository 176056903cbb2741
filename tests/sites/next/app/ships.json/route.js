import { ships } from '../ships'

export const dynamic = 'force-static'

/** The list for programs. */
export const GET = () => Response.json(ships.map(({ name, rig }) => ({ name, rig })))
