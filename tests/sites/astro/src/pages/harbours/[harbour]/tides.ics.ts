import type { APIRoute } from 'astro'
import { clock, harbours } from '../../../harbours'

export const getStaticPaths = () => harbours.map(harbour => ({ params: { harbour: harbour.id }, props: { harbour } }))

/** A calendar with the high water of one morning. */
export const GET: APIRoute = ({ props: { harbour } }) => {
  const start = `20300101T${clock(harbour.high).replace(':', '')}00Z`
  const event = ['BEGIN:VEVENT', `UID:${harbour.high}@tides.example`, `DTSTAMP:${start}`, `DTSTART:${start}`, `SUMMARY:High water, ${harbour.name}`, 'END:VEVENT']
  return new Response(['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//tides.example//EN', ...event, 'END:VCALENDAR', ''].join('\r\n'))
}
