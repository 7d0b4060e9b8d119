import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { isBindMount } from './bind-mount.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'
import type { Values } from './template.ts'

/** Where systemd puts the credentials of a container's unit while it runs (systemd.exec(5), "Credentials"). */
export function credentialsFolder(container: string): string {
  return `/run/credentials/${container}.service`
}

/** The value of a variable that is a credential is where the secret can be read, on the host and in the container. */
export function credentialValues(credentials: Values, container: string): Values {
  return new Map([...credentials.keys()].map((name) => [name, posix.join(credentialsFolder(container), name)]))
}

/**
 * Lines of a unit's [Service] section. systemd 257 hands such paths to its executor in words that it does not quote, so
 * that a service with a blank in one does not start.
 *
 * @throws ForerunError `variable` for a path that not every systemd can read.
 */
export function credentialLines(credentials: Values): string {
  return [...credentials].map(([name, path]) => `LoadCredential=${name}:${loadable(name, path)}\n`).join('')
}

function loadable(name: string, path: string): string {
  if (!/[\s"'\\\p{Cc}]/u.test(path)) return path.replaceAll('%', '%%')
  throw new ForerunError('variable', `systemd cannot load the credential '${name}' from ${JSON.stringify(path)}`, {
    hint: 'Put the file where its path has no blanks, quotes and backslashes.',
  })
}

/**
 * Shows the credentials of the unit to the container at the same path, and says so as systemd does to its services.
 *
 * @throws ForerunError `configuration` where the process is not root, to whom alone systemd shows them.
 */
export function withCredentials(
  configuration: RuntimeConfiguration,
  { credentials, container }: { credentials: Values; container: string },
): RuntimeConfiguration {
  if (credentials.size === 0) return configuration
  const { process, mounts = [] } = configuration
  const uid = process.user?.uid ?? 0
  if (uid !== 0) {
    throw new ForerunError('configuration', `The process runs as user ${uid}, who cannot read credentials of systemd`, {
      hint: 'Give the values with --set-file, which config.json keeps from other users.',
    })
  }
  const folder = credentialsFolder(container)
  const isThere = mounts.some(
    (mount) =>
      isBindMount(mount) &&
      mount.source === mount.destination &&
      folder.startsWith(`${posix.resolve(mount.destination)}/`),
  )
  const mount = {
    destination: folder,
    type: 'bind',
    source: folder,
    options: ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'],
  }
  const env = (process.env ?? []).filter((entry) => !entry.startsWith('CREDENTIALS_DIRECTORY='))
  return {
    ...configuration,
    process: { ...process, env: [...env, `CREDENTIALS_DIRECTORY=${folder}`] },
    mounts: isThere ? mounts : [...mounts, mount],
  }
}
