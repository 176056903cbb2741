import type { ReactNode } from 'react'

interface Props {
  title: string
  /** The edition of the chunk that contains the page, which may differ from that of the entry script. */
  edition: string
  children: ReactNode
}

export function Page({ title, edition, children }: Props) {
  return (
    <main>
      <title>{`${title} · Headland`}</title>
      <h1>{title}</h1>
      {children}
      <p className="edition" data-edition={edition} data-testid="edition">
        {edition}
      </p>
    </main>
  )
}
