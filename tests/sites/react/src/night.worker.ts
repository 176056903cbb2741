/** How long the night is, and the seconds between the flashes of each light. */
export interface Question {
  seconds: number
  periods: number[]
}

export interface Answer {
  together: number
  /** The edition of this worker's own file. */
  edition: string
}

// Watched second by second rather than worked out by arithmetic, so that the worker has something to do.
addEventListener('message', ({ data }: MessageEvent<Question>) => {
  let together = 0
  for (let second = 0; second < data.seconds; second++) {
    if (data.periods.every(period => second % period === 0)) together++
  }
  const answer: Answer = { together, edition: EDITION }
  postMessage(answer)
})
