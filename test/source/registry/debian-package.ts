import { spawnSync } from 'node:child_process'

/** Installs a Debian package when a program of it is missing; says why when it cannot. */
export function requireProgram(program: string, debianPackage: string): void {
  if (isThere(program)) return
  const install = spawnSync('apt-get', ['install', '--yes', '--no-install-recommends', debianPackage], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (isThere(program)) return
  const reason = install.error?.message ?? install.stderr.trim()
  throw new Error(`this test needs ${program}, and apt-get cannot install ${debianPackage}: ${reason}`)
}

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}
