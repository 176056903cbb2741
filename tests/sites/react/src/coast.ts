export interface Light {
  id: string
  name: string
  /** The seconds between two flashes. */
  period: number
  /** The range in nautical miles on a clear night. */
  reach: number
  story: string
}

export const lights: Light[] = [
  {
    id: 'gull-point',
    name: 'Gull Point',
    period: 4,
    reach: 12,
    story: 'The harbour light. Its keeper kept bees, and the honey tasted of thrift.',
  },
  {
    id: 'saint-orra',
    name: 'Saint Orra',
    period: 6,
    reach: 16,
    story: 'Built on the chapel, whose bell is still rung in fog by whoever is nearest.',
  },
  {
    id: 'long-ness',
    name: 'Long Ness',
    period: 10,
    reach: 21,
    story: 'The tall one, red and white. On the longest night it is lit for seventeen hours.',
  },
  {
    id: 'black-skerry',
    name: 'Black Skerry',
    period: 15,
    reach: 24,
    story: 'Alone on its rock. The boat goes out once a month, if the sea allows.',
  },
]
