import { registerSW } from 'virtual:pwa-register'
import './coast.css'

document.querySelector('[data-testid=edition]').textContent = EDITION
registerSW({ immediate: true })
