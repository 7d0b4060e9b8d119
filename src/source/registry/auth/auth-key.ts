/** What credentials are for: a registry, or a part of it (a namespace, a repository). */
export interface AuthScope {
  readonly domain: string
  /** Empty: the whole registry. */
  readonly path: string
}

/** The keys of `auths` that fit, the closest first: `host/team/app`, `host/team`, `host` (containers-auth.json(5)). */
export function fittingKeys({ domain, path }: AuthScope): string[] {
  const parts = path === '' ? [] : path.split('/')
  const namespaces = parts.map((_, index) => [domain, ...parts.slice(0, index + 1)].join('/'))
  return [domain, ...namespaces].reverse()
}

/**
 * The registry of a key as older tools wrote it, with the address of an API around the host: `https://index.docker.io/v1/`
 * is `docker.io`. A bare key that has a path is a namespace and is none.
 */
export function registryOfKey(key: string, format: 'auth.json' | 'dockercfg'): string {
  const bare = key.replace(/^https?:\/\//, '')
  const host = bare !== key || format === 'dockercfg' ? bare.replace(/\/.*$/s, '') : bare
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host
}

/** The names that a registry has as a key of `credHelpers`, and what its helper then calls the registry. */
export function helperKeys(domain: string): { key: string; server: string }[] {
  const own = { key: domain, server: domain }
  if (domain !== 'docker.io') return [own]
  // podman writes the first, docker the others.
  return [own, { key: 'index.docker.io', server: dockerServer }, { key: dockerServer, server: dockerServer }]
}

/** What a helper for everything (`credsStore`), which docker fills, calls a registry. */
export function storeServer(domain: string): string {
  return domain === 'docker.io' ? dockerServer : domain
}

const dockerServer = 'https://index.docker.io/v1/'
