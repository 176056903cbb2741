import { useEffect, useState } from 'react'
import { lights } from '../coast'
import { Page } from '../Page'
import type { Answer, Question } from '../night.worker'

const HOURS = 12

export default function Night() {
  const [answer, setAnswer] = useState<Answer>()

  useEffect(() => {
    const worker = new Worker(new URL('../night.worker.ts', import.meta.url), { type: 'module' })
    worker.onmessage = (message: MessageEvent<Answer>) => setAnswer(message.data)
    const question: Question = { seconds: HOURS * 3600, periods: lights.map(light => light.period) }
    worker.postMessage(question)
    return () => worker.terminate()
  }, [])

  return (
    <Page title="One night" edition={EDITION}>
      <p>All four lights are lit at dusk, in the same second. How often does that happen in a night of {HOURS} hours?</p>
      {answer ? (
        <p>
          <strong data-testid="answer">{answer.together}</strong> times, counts the worker of the{' '}
          <span data-testid="worker-edition">{answer.edition}</span>.
        </p>
      ) : (
        <p aria-busy="true">Counting…</p>
      )}
    </Page>
  )
}
