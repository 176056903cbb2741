import { harbours } from '../harbours'

/** The tables for programs. */
export const GET = () => Response.json(harbours.map(({ name, high }) => ({ name, high })))
