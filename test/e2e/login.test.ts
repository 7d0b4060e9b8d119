import assert from 'node:assert/strict'
import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import type { LoginResult } from '../../src/operations/access/login.ts'
import { busyboxImage } from '../lab/busybox.ts'
import type { LabImage } from '../lab/image.ts'
import { ensurePackages } from '../lab/packages.ts'
import { type ExecResult, execute } from '../lab/process.ts'
import { type LabRegistry, startRegistry } from '../lab/registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Registries that want to know who is there, and the tools with which forerun shares what it knows. */
let lab: InstalledHost
let image: LabImage
let byPassword: LabRegistry
let byToken: LabRegistry
let scratch: string

const password = 'pass:wörd'
const auth = Buffer.from(`ann:${password}`).toString('base64')
const file = '/run/containers/0/auth.json'

before(async () => {
  await ensurePackages(['podman', 'skopeo'])
  const users = { ann: password, bob: 'other' }
  image = await busyboxImage()
  scratch = await mkdtemp(join(tmpdir(), 'forerun-login-'))
  lab = await installedHost()
  byPassword = await startRegistry({ auth: 'htpasswd', users })
  byToken = await startRegistry({ auth: 'token', users, identityTokens: { 'an identity': 'ann' } })
  for (const registry of [byPassword, byToken]) await registry.push(image, 'team/app:1')
})

afterEach(async () => {
  await lab.forerun('logout', '--all')
  await lab.forerun('images', 'delete', '--force', image.imageIds[0] ?? '')
})

after(async () => {
  // Of what `before` came to.
  for (const each of [byToken, byPassword, lab]) await each?.[Symbol.asyncDispose]()
  if (scratch !== undefined) await rm(scratch, { recursive: true })
})

/** A file of the host as the machine sees it, with what lies in memory. */
function onHost(path: string): string {
  return join('/proc', String(lab.host.leader), 'root', path)
}

function login(registry: LabRegistry, ...words: string[]): Promise<ExecResult> {
  const argv = ['forerun', 'login', '--username', 'ann', '--password-stdin', ...words, registry.address]
  return lab.host.exec(argv, { input: `${password}\n`, check: false })
}

for (const kind of ['a password', 'a token'] as const) {
  test(`a registry that wants ${kind} serves who has logged in, until logging out`, async () => {
    const registry = kind === 'a token' ? byToken : byPassword
    const reference = `${registry.address}/team/app:1`
    const anonymous = await lab.forerun('pull', reference)
    assert.equal(anonymous.status, 1)
    assert.match(anonymous.stderr, new RegExp(`^hint: .*forerun login ${registry.address}$`, 'm'))

    const { stdout } = await login(registry)
    assert.equal(stdout, `Login Succeeded! The credentials of ann at ${registry.address} are in ${file}.\n`)
    assert.equal((await stat(onHost(file))).mode & 0o7777, 0o600)
    await lab.must('pull', reference)
    assert.equal((await lab.must('login', '--get-login', registry.address)).stdout, 'ann\n')
    const { json } = await lab.must<LoginResult>('login', '--json', registry.address)
    assert.deepEqual(json, { registry: registry.address, user: 'ann', place: file, known: true })

    await lab.must('images', 'delete', reference)
    const { stdout: removed } = await lab.must('logout', registry.address)
    assert.equal(removed, `Removed the credentials for ${registry.address} from ${file}.\n`)
    assert.equal((await lab.forerun('pull', reference)).status, 1)
    assert.equal((await lab.forerun('logout', registry.address)).status, 1)
  })

  test(`a wrong password for ${kind} is one error that names the user and not the password`, async () => {
    const registry = kind === 'a token' ? byToken : byPassword
    const reference = `${registry.address}/team/app:1`
    for (const words of [
      ['login', '-u', 'ann', '-p', 'verysecret', registry.address],
      ['pull', '--creds', 'ann:verysecret', reference],
      ['install', '--creds', 'ann:verysecret', reference],
    ]) {
      const { status, stdout, stderr } = await lab.forerun(...words, '--debug')
      assert.equal(status, 1)
      assert.match(stderr, /^forerun: .*'ann'.*\(401/m)
      assert.doesNotMatch(stdout + stderr, /verysecret|dmVyeXNlY3JldA/)
    }
    assert.equal((await lab.forerun('login', '--get-login', registry.address)).status, 1)
  })
}

test('credentials on the command line are used and kept nowhere', async () => {
  const reference = `${byPassword.address}/team/app:1`
  const { stderr } = await lab.must('pull', '--debug', '--creds', `ann:${password}`, reference)
  const found = await lab.shell(
    `grep -rlE '${password}|${auth}|${auth.slice(4, 20)}' /var/lib/forerun /etc /run/containers /root 2>/dev/null; true`,
  )
  assert.equal(found, '')
  assert.doesNotMatch(stderr, new RegExp(`${password}|${auth.slice(4, 20)}`))
})

test('a file for credentials lasts in /etc, and one that is named has to be there', async () => {
  const reference = `${byPassword.address}/team/app:1`
  await login(byPassword, '--authfile', '/etc/containers/auth.json')
  await lab.must('pull', reference)
  const { stderr } = await lab.forerun('pull', '--authfile', '/etc/gone.json', reference)
  assert.match(stderr, /^forerun: there is no file \/etc\/gone\.json$/m)
  await lab.shell('echo "{" > /etc/bad.json')
  const malformed = await lab.forerun('pull', '--authfile', '/etc/bad.json', reference)
  assert.match(malformed.stderr, /^forerun: \/etc\/bad\.json is not JSON$/m)
  await lab.shell('rm /etc/containers/auth.json /etc/bad.json')
})

test('what forerun has logged in, podman and skopeo are, and the other way round', async () => {
  const tools = {
    podman: (...words: string[]) => execute(['podman', ...words], { cwd: scratch }),
    skopeo: (...words: string[]) => execute(['skopeo', ...words], { cwd: scratch }),
  }
  const reference = `docker://${byToken.address}/team/app:1`
  await login(byPassword)
  await login(byToken)
  const authfile = ['--authfile', onHost(file)]
  assert.equal((await tools.podman('login', ...authfile, '--get-login', byPassword.address)).stdout, 'ann\n')
  assert.equal((await tools.skopeo('login', ...authfile, '--get-login', byToken.address)).stdout, 'ann\n')
  const { stdout: manifest } = await tools.skopeo('inspect', '--raw', '--tls-verify=false', ...authfile, reference)
  assert.equal(manifest, image.manifests[0]?.bytes.toString())

  await tools.podman('logout', ...authfile, byPassword.address)
  await tools.skopeo('logout', ...authfile, byToken.address)
  for (const { address } of [byPassword, byToken]) {
    assert.equal((await lab.forerun('login', '--get-login', address)).status, 1)
  }

  for (const [tool, { address }] of [
    ['podman', byPassword],
    ['skopeo', byToken],
  ] as const) {
    const words = ['login', '--tls-verify=false', ...authfile, '-u', 'ann', '-p', password, address]
    await tools[tool](...words)
    assert.equal((await lab.must('login', '--get-login', address)).stdout, 'ann\n')
    await lab.must('pull', `${address}/team/app:1`)
    await lab.must('images', 'delete', `${address}/team/app:1`)
    await lab.must('logout', address)
    await assert.rejects(tools[tool]('login', ...authfile, '--get-login', address), /not logged in/)
  }
})

test('a part of a registry has credentials of its own, for podman too', async () => {
  const { address } = byPassword
  await lab.host.exec(['forerun', 'login', '-u', 'bob', '-p', 'other', `${address}/other`])
  assert.equal((await lab.forerun('pull', `${address}/team/app:1`)).status, 1)
  await lab.host.exec(['forerun', 'login', '-u', 'ann', '--password-stdin', `${address}/team`], { input: password })
  await lab.must('pull', `${address}/team/app:1`)
  const authfile = ['--authfile', onHost(file)]
  for (const [part, user] of [
    ['team', 'ann'],
    ['other', 'bob'],
  ] as const) {
    const { stdout } = await execute(['podman', 'login', ...authfile, '--get-login', `${address}/${part}`])
    assert.equal(stdout, `${user}\n`)
  }
})

test('an identity token, as docker stores it, is exchanged for tokens', async () => {
  const entry = { auth: Buffer.from('0000:').toString('base64'), identitytoken: 'an identity' }
  const content = JSON.stringify({ auths: { [byToken.address]: entry } })
  await lab.host.exec(['sh', '-c', 'mkdir -p /root/.docker; cat > /root/.docker/config.json'], { input: content })
  const before = byToken.tokenServer?.requests.length ?? 0
  await lab.must('pull', `${byToken.address}/team/app:1`)
  const asked = byToken.tokenServer?.requests.slice(before)
  assert.deepEqual(asked, [{ method: 'POST', url: '/token', user: 'ann' }])
  await lab.shell('rm -r /root/.docker')
})

test('a credential helper of the host is asked, and given what logging in brings', async () => {
  const helper = join(lab.host.root, 'usr/bin/docker-credential-lab')
  await writeFile(
    helper,
    `#!/bin/sh
case $1 in
  store) cat > /root/secret ;;
  get) cat /root/secret ;;
  erase) rm /root/secret ;;
esac
`,
  )
  await chmod(helper, 0o755)
  const content = JSON.stringify({ credHelpers: { [byPassword.address]: 'lab' } })
  await lab.host.exec(['sh', '-c', `mkdir -p /run/containers/0; cat > ${file}`], { input: content })
  const { stdout } = await login(byPassword)
  assert.match(stdout, /are in docker-credential-lab\.$/m)
  assert.deepEqual(JSON.parse(await readFile(onHost(file), 'utf8')), JSON.parse(content))
  await lab.must('pull', `${byPassword.address}/team/app:1`)
  await lab.must('logout', byPassword.address)
  assert.equal(await lab.shell('ls /root/secret 2>/dev/null; true'), '')
  await lab.shell(`rm ${file} /usr/bin/docker-credential-lab`)
})

test('a password goes over TLS only to a registry whose certificate is believed', async () => {
  await using secure = await startRegistry({ tls: true, auth: 'htpasswd', users: { ann: password } })
  await copyFile(secure.caFile ?? '', join(lab.host.root, 'root/lab.crt'))
  const untrusted = await login(secure)
  assert.equal(untrusted.status, 1)
  assert.match(untrusted.stderr, /certificate/)
  assert.doesNotMatch(secure.log(), /forerun\//)
  const { stdout } = await login(secure, '--cert-dir', '/root')
  assert.match(stdout, /^Login Succeeded!/)
  assert.match(secure.log(), /forerun\//)
})

/** Runs a command at a terminal, and types each answer once its question is there; Enter is a carriage return. */
async function atTerminal(command: string, answers: Record<string, string>): Promise<ExecResult> {
  const typed = Object.entries(answers).map(
    ([question, answer]) => `until grep -q '${question}' /tmp/screen; do sleep 0.05; done; printf '%s\\r' '${answer}'`,
  )
  const script = `: > /tmp/screen; (${typed.join('; ')}) | script -qefc '${command}' /tmp/screen`
  return lab.host.exec(['sh', '-c', script], { check: false })
}

test('at a terminal forerun asks, shows the user, and never the password', async () => {
  const { address } = byPassword
  const answers = { 'User at': 'ann', 'Password of': password }
  const loggedIn = await atTerminal(`forerun login ${address}`, answers)
  assert.match(loggedIn.stdout, /User at .*: .*ann\s+Password of ann at .*:\s+Login Succeeded!/s)
  assert.doesNotMatch(loggedIn.stdout, new RegExp(password))
  await lab.must('logout', address)

  const reference = `${address}/team/app:1`
  const pulled = await atTerminal(`forerun pull --creds ann ${reference}`, { 'Password of': password })
  assert.equal(pulled.status, 0, pulled.stdout)
  assert.equal(pulled.stdout.match(/Password of ann at/g)?.length, 1)
  assert.doesNotMatch(pulled.stdout, new RegExp(password))

  const interrupted = await atTerminal(`forerun login ${address}`, { 'User at': '\u0003' })
  assert.equal(interrupted.status, 130, interrupted.stdout)
})

test('without a terminal nothing is asked', async () => {
  const { address } = byPassword
  for (const words of [
    ['login', address],
    ['login', '-u', 'ann', address],
    ['pull', '--creds', 'ann', `${address}/team/app:1`],
  ]) {
    const { status, stderr } = await lab.forerun(...words)
    assert.equal(status, 2)
    assert.match(stderr, /^forerun: .*there is no terminal to ask on\nhint: .*--password-stdin/m)
  }
})
