import { Link, useParams } from 'react-router'
import { lights } from '../coast'
import { Page } from '../Page'
import './Light.css'

export default function Light() {
  const { id } = useParams()
  const light = lights.find(light => light.id === id)
  if (!light) {
    return (
      <Page title="No such light" edition={EDITION}>
        <p>
          The chart shows nothing there. <Link to="/lights">These are lit.</Link>
        </p>
      </Page>
    )
  }
  return (
    <Page title={light.name} edition={EDITION}>
      <p>
        <span className="lamp" style={{ animationDuration: `${light.period}s` }} />
        One flash every {light.period} seconds, seen from {light.reach} miles.
      </p>
      <p>{light.story}</p>
    </Page>
  )
}
