export const ships = [
  { id: 'petrel', name: 'Petrel', rig: 'ketch', story: 'Passes every Tuesday, whatever the wind.' },
  { id: 'étoile', name: 'Étoile', rig: 'schooner', story: 'Lights the galley lamp where others show a lantern.' },
  { id: 'st-brannoc', name: 'St Brannoc', rig: 'steamer', story: 'Seen by its smoke first, and for long after.' },
]
