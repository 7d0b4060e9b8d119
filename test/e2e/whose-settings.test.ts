import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { assembleImage, writeLayout } from '../lab/image.ts'
import { packLayer } from '../lab/layer.ts'
import { serviceWith } from './bad-input.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What a user without power leaves on a host, against root's forerun, which was started with that user's environment. */
let lab: InstalledHost
const policy = '/etc/containers/policy.json'
const theirs = { HOME: '/home/alice', XDG_CONFIG_HOME: '/home/alice/.config', XDG_RUNTIME_DIR: '/run/user/1000' }

before(async () => {
  lab = await installedHost()
  await lab.shell(`useradd --create-home alice
    install -d -o alice /run/user/1000 /run/user/1000/containers /home/alice/.config /home/alice/.config/containers
    install -d /etc/containers`)
  await writeLayout(assembleImage([await packLayer({ 'etc/file': 'text' })]), join(lab.host.root, 'srv/layout'))
})
afterEach(() => lab.shell('rm -rf /etc/containers /home/alice/.config/containers/* /run/user/1000/containers/*'))
after(() => lab[Symbol.asyncDispose]())

function asAlice(...words: string[]) {
  const environment = Object.entries(theirs).map(([name, value]) => `${name}=${value}`)
  return lab.host.exec(['env', ...environment, 'forerun', ...words], { check: false })
}

const accept = '{"default": [{"type": "insecureAcceptAnything"}]}'
const reject = '{"default": [{"type": "reject"}]}'

test("another user's policy does not lift a reject of the system's", async () => {
  await lab.shell(`mkdir -p /etc/containers; echo '${reject}' >${policy}
    su alice -c "echo '${accept}' >/home/alice/.config/containers/policy.json"`)
  const { status, stderr } = await asAlice('pull', 'oci:/srv/layout')
  assert.equal(status, 1)
  assert.match(stderr, /policy\.json \(default\) rejects it/)
})

test('a policy that leads nowhere, or that others may write, accepts nothing', async () => {
  for (const [script, message] of [
    [`ln -s /nowhere ${policy}`, /policy\.json cannot be read, so that no image is accepted/],
    ['rmdir /etc/containers; ln -s /nowhere /etc/containers', /is a link to nothing, so that no image is accepted/],
    [`echo '${accept}' >${policy}; chmod 666 ${policy}`, /policy\.json is not used.*is writable by others/],
    [`echo '${accept}' >${policy}; chown alice ${policy}`, /policy\.json is not used.*belongs to the user 1000/],
    [`ln -s /home/alice/p ${policy}; echo '${accept}' >/home/alice/p`, /\/home\/alice belongs to the user 1000/],
  ] as const) {
    await lab.shell(`rm -rf /etc/containers; mkdir /etc/containers; ${script}`)
    const { status, stderr } = await lab.forerun('pull', 'oci:/srv/layout')
    assert.equal(status, 1, script)
    assert.match(stderr, message)
    assert.match(stderr, /^hint: ./m)
  }
})

test("another user's registries.conf does not count", async () => {
  await lab.shell(
    `su alice -c 'echo "unqualified-search-registries = [\\"evil.example\\"]" >/home/alice/.config/containers/registries.conf'`,
  )
  const { status, stderr } = await asAlice('pull', 'some-short-name')
  assert.equal(status, 1)
  assert.doesNotMatch(stderr, /evil\.example/)
  await lab.shell('mkdir -p /etc/containers; cp /home/alice/.config/containers/registries.conf /etc/containers')
  assert.match((await asAlice('pull', 'some-short-name')).stderr, /evil\.example/)
  await lab.shell('rm /etc/containers/registries.conf')
})

test("credentials are kept with root's, and not through a link that another user has planted", async () => {
  await lab.shell(`su alice -c 'ln -s /etc/motd /run/user/1000/containers/auth.json; echo {} >/home/alice/auth.json'`)
  const before = readFileSync(join(lab.host.root, 'etc/motd'), 'utf8')
  const words = (...more: string[]) => ['login', '--username', 'ann', '--password', 'x', ...more, lab.registry.address]
  const { status, stderr } = await asAlice(...words('--tls-verify=false'))
  assert.equal(status, 0, stderr)
  assert.match(await lab.shell('cat /run/containers/0/auth.json'), /"auths"/)
  assert.equal(readFileSync(join(lab.host.root, 'etc/motd'), 'utf8'), before)
  const named = await lab.forerun(...words('--tls-verify=false', '--authfile', '/run/user/1000/containers/auth.json'))
  assert.equal(named.status, 1)
  assert.match(named.stderr, /auth\.json is not used, since others than root may change it/)
  assert.equal(readFileSync(join(lab.host.root, 'etc/motd'), 'utf8'), before)
})

test('a program of another user in PATH is not run', async () => {
  await lab.shell(`su alice -c 'mkdir -p /home/alice/bin; for program in runc unshare systemd-tmpfiles readlink gpgv; do
    printf "#!/bin/sh\\ntouch /root/owned-$program\\n" >/home/alice/bin/$program; chmod 755 /home/alice/bin/$program; done'`)
  const image = await lab.push('theirs/it', serviceWith())
  const { stdout, stderr } = await lab.host.exec(
    [
      'env',
      'PATH=/home/alice/bin:/usr/bin:/usr/sbin',
      'NODE_OPTIONS=--require /home/alice/x.cjs',
      'forerun',
      ...install,
      image,
    ],
    { check: false },
  )
  assert.match(stdout, /\/usr\/s?bin\/runc/, stderr)
  assert.equal(await lab.shell('ls /root'), '')
})

const install = ['install', '--system', '--display', '--name', 'it']
