'use client'

import { useState } from 'react'

/** Counts the ships of one watch. */
export function Tally() {
  const [seen, setSeen] = useState(0)
  return (
    <button type="button" onClick={() => setSeen(seen + 1)}>
      Seen this watch: {seen}
    </button>
  )
}
