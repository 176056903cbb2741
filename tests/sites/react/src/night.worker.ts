/** The length of the night in seconds, and the seconds between two flashes of each light. */
export interface Question {
  seconds: number
  periods: number[]
}

export interface Answer {
  together: number
  /** The edition of the worker's file. */
  edition: string
}

// Counted second by second instead of by arithmetic, so that the worker has work to do.
addEventListener('message', ({ data }: MessageEvent<Question>) => {
  let together = 0
  for (let second = 0; second < data.seconds; second++) {
    if (data.periods.every(period => second % period === 0)) together++
  }
  const answer: Answer = { together, edition: EDITION }
  postMessage(answer)
})
