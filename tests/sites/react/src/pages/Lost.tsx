import { Link } from 'react-router'
import { Page } from '../Page'

export default function Lost() {
  return (
    <Page title="Off the chart" edition={EDITION}>
      <p>
        There is only water here. <Link to="/">Back to the headland.</Link>
      </p>
    </Page>
  )
}
