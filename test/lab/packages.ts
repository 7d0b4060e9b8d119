import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { announce, cacheFolder, exclusively } from './cache.ts'
import { execute } from './process.ts'

/**
 * Installs those of the Debian packages that the machine lacks.
 *
 * @throws when not root, when this is no machine with apt, or with what apt said.
 */
export async function ensurePackages(names: readonly string[]): Promise<void> {
  if ((await missing(names)).length === 0) return
  if (process.getuid?.() !== 0)
    throw new Error(`the lab has to install ${names.join(' ')} and boot hosts: run it as root`)
  await mkdir(cacheFolder(), { recursive: true })
  using _lock = await exclusively(join(cacheFolder(), 'apt.lock'))
  const needed = await missing(names)
  if (needed.length === 0) return
  announce(`installing the Debian packages ${needed.join(' ')}`)
  if ((await install(needed, { check: false })).status === 0) return
  announce('bringing the package lists up to date')
  await execute(['apt-get', 'update', '-q'], { timeout: 600_000 })
  await install(needed, { check: true })
}

async function missing(names: readonly string[]): Promise<string[]> {
  const format = `\${Package} \${db:Status-Status}\\n`
  const { stdout } = await execute(['dpkg-query', '-W', '-f', format, ...names], { check: false })
  const installed = new Set(stdout.split('\n').map((line) => line.replace(/ installed$/, '')))
  return names.filter((name) => !installed.has(name))
}

function install(names: readonly string[], { check }: { check: boolean }) {
  // Nothing that is installed for the lab is to run on the machine itself.
  return execute(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...names], {
    check,
    timeout: 1_200_000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  })
}
