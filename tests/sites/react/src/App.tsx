import { lazy, Suspense } from 'react'
import { NavLink, Route, Routes } from 'react-router'

// Each page is a separate chunk, loaded on the first visit.
const Home = lazy(() => import('./pages/Home'))
const Lights = lazy(() => import('./pages/Lights'))
const Light = lazy(() => import('./pages/Light'))
const Night = lazy(() => import('./pages/Night'))
const Lost = lazy(() => import('./pages/Lost'))

export function App() {
  return (
    <>
      <header>
        <NavLink to="/" className="name">
          Headland
        </NavLink>
        <nav>
          <NavLink to="/lights">The lights</NavLink>
          <NavLink to="/night">One night</NavLink>
        </nav>
      </header>
      <Suspense fallback={<main aria-busy="true" />}>
        <Routes>
          <Route index element={<Home />} />
          <Route path="lights" element={<Lights />} />
          <Route path="lights/:id" element={<Light />} />
          <Route path="night" element={<Night />} />
          <Route path="*" element={<Lost />} />
        </Routes>
      </Suspense>
    </>
  )
}
