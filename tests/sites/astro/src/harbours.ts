export interface Harbour {
  id: string
  name: string
  /** Hours after midnight, of the first high water. */
  high: number
  note: string
}

export const harbours: Harbour[] = [
  { id: 'gull-point', name: 'Gull Point', high: 3.25, note: 'The quay dries at low water; so do the keepers.' },
  { id: 'long-ness', name: 'Long Ness', high: 4.5, note: 'Never on a falling tide.' },
  { id: 'île-d-orra', name: 'Île d’Orra', high: 5.75, note: 'One mooring, and it is taken.' },
]

export function clock(hours: number): string {
  const minutes = Math.round((hours % 24) * 60)
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
}
