import headland from '../assets/headland.png'
import { Page } from '../Page'

export default function Home() {
  return (
    <Page title="Where the land ends" edition={EDITION}>
      <img
        src={headland}
        width={960}
        height={480}
        alt="A lighthouse on a headland at dusk, its beam over the sea"
        data-testid="picture"
      />
      <p>
        Four lights stand on this coast, each with its own rhythm. None can be seen from everywhere, and
        wherever you sail, the nearest one is enough.
      </p>
    </Page>
  )
}
