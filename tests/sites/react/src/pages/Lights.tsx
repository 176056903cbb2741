import { Link } from 'react-router'
import { lights } from '../coast'
import { Page } from '../Page'

export default function Lights() {
  return (
    <Page title="The lights" edition={EDITION}>
      <ul className="lights">
        {lights.map(light => (
          <li key={light.id}>
            <Link to={`/lights/${light.id}`}>{light.name}</Link>, seen from {light.reach} miles
          </li>
        ))}
      </ul>
    </Page>
  )
}
