import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatReference, parseReference } from '../../../../src/image/reference.ts'
import { checkAllowed, directEndpoint, endpointsFor } from '../../../../src/source/registry/config/endpoints.ts'
import { readRegistriesConf } from '../../../../src/source/registry/config/registries-conf.ts'
import { treeOf } from '../containers-files.ts'

function confOf(text: string) {
  using tree = treeOf({ 'etc/containers/registries.conf': text })
  return readRegistriesConf(tree.place)
}

function places(text: string, name: string): string[] {
  return endpointsFor(confOf(text), parseReference(name)).map(({ reference }) => formatReference(reference))
}

const digest = `sha256:${'a'.repeat(64)}`

test('a name that no table matches is asked for where it says', () => {
  assert.deepEqual(places('', 'etcd'), ['docker.io/library/etcd:latest'])
  const conf = '[[registry]]\nlocation = "registry.example/team"\n[[registry.mirror]]\nlocation = "mirror.example"\n'
  for (const name of ['registry.example/teams/app:1', 'registry.example.org/team/app:1', 'registry.example/other:1']) {
    assert.deepEqual(places(conf, name), [name])
  }
})

test('the location stands in place of the prefix, and mirrors are tried first, in order', () => {
  const conf = `
    [[registry]]
    prefix = "registry.example/team"
    location = "internal.example/moved/team"
    [[registry.mirror]]
    location = "one.example:5000"
    insecure = true
    [[registry.mirror]]
    location = "two.example/cache"
    proxy = "http://proxy.example:3128"`
  for (const rest of ['app:1', `app@${digest}`, `deep/app:1@${digest}`]) {
    assert.deepEqual(places(conf, `registry.example/team/${rest}`), [
      `one.example:5000/${rest}`,
      `two.example/cache/${rest}`,
      `internal.example/moved/team/${rest}`,
    ])
  }
  const endpoints = endpointsFor(confOf(conf), parseReference('registry.example/team/app:1'))
  assert.deepEqual(
    endpoints.map(({ insecure }) => insecure),
    [true, false, false],
  )
  assert.deepEqual(
    endpoints.map(({ isMirror }) => isMirror),
    [true, true, false],
  )
  assert.deepEqual(
    endpoints.map(({ proxy }) => proxy?.href),
    [undefined, 'http://proxy.example:3128/', undefined],
  )
})

test('the longest prefix decides, down to a repository with its tag', () => {
  const table = (prefix: string, location: string) => `[[registry]]\nprefix = "${prefix}"\nlocation = "${location}"\n`
  const conf = [
    table('registry.example', 'a.example'),
    table('registry.example/team', 'b.example'),
    table('registry.example/team/app', 'c.example/app'),
    table('registry.example/team/app:special', 'd.example/app:other'),
  ].join('')
  assert.deepEqual(places(conf, 'registry.example/x:1'), ['a.example/x:1'])
  assert.deepEqual(places(conf, 'registry.example/team/x:1'), ['b.example/x:1'])
  assert.deepEqual(places(conf, 'registry.example/team/app:1'), ['c.example/app:1'])
  assert.deepEqual(places(conf, 'registry.example/team/app:special'), ['d.example/app:other'])
})

test("Docker's registry is matched by its full names", () => {
  const conf = '[[registry]]\nprefix = "docker.io/library"\nlocation = "mirror.example/hub"\n'
  assert.deepEqual(places(conf, 'etcd:3.5'), ['mirror.example/hub/etcd:3.5'])
  assert.deepEqual(places(conf, 'coreos/etcd:3.5'), ['docker.io/coreos/etcd:3.5'])
})

test('a wildcard stands for any subdomains, and without a location the name stays', () => {
  const conf = '[[registry]]\nprefix = "*.example.com"\n[[registry.mirror]]\nlocation = "mirror.example/all"\n'
  for (const host of ['a.example.com', 'b.a.example.com', 'a.example.com:5000']) {
    assert.equal(places(conf, `${host}/team/app:1`).at(-1), `${host}/team/app:1`)
    assert.equal(places(conf, `${host}/team/app:1`).length, 2)
  }
  assert.equal(places(conf, 'a.example.com/team/app:1')[0], 'mirror.example/all/team/app:1')
  for (const name of [
    'example.com/app:1',
    'aexample.com/app:1',
    'a.example.com.org/app:1',
    'other.org/a.example.com/app:1',
  ]) {
    assert.deepEqual(places(conf, name), [name])
  }
})

test('a host in place of a wildcard keeps the port of the name', () => {
  const at = (location: string, name: string) =>
    places(`[[registry]]\nprefix = "*.example.com"\nlocation = "${location}"\n`, name)
  const moved: [location: string, name: string, place: string][] = [
    ['other.example', 'a.example.com:5000/app:1', 'other.example:5000/app:1'],
    ['other.example', 'b.a.example.com:5000/team/app:1', 'other.example:5000/team/app:1'],
    ['other.example', `a.example.com:5000/app@${digest}`, `other.example:5000/app@${digest}`],
    ['other.example', 'a.example.com/app:1', 'other.example/app:1'],
    ['other.example:443', 'a.example.com:5000/app:1', 'other.example:443/app:1'],
    ['other.example/team', 'a.example.com:5000/app:1', 'other.example/team/app:1'],
  ]
  for (const [location, name, place] of moved) assert.deepEqual(at(location, name), [place])
})

test('mirrors are used for tags, digests or both, as each of them or all together are told', () => {
  const mirrored = (line: string, ...mirrors: string[]) =>
    ['[[registry]]\nlocation = "r.example"', line, ...mirrors.map((text) => `[[registry.mirror]]\n${text}`)].join('\n')
  const each = mirrored(
    '',
    'location = "all.example"\npull-from-mirror = "all"',
    'location = "tag.example"\npull-from-mirror = "tag-only"',
    'location = "digest.example"\npull-from-mirror = "digest-only"',
  )
  assert.deepEqual(places(each, 'r.example/a:1'), ['all.example/a:1', 'tag.example/a:1', 'r.example/a:1'])
  for (const rest of [`a@${digest}`, `a:1@${digest}`]) {
    assert.deepEqual(places(each, `r.example/${rest}`), [
      `all.example/${rest}`,
      `digest.example/${rest}`,
      `r.example/${rest}`,
    ])
  }
  const together = mirrored('mirror-by-digest-only = true', 'location = "m.example"')
  assert.deepEqual(places(together, 'r.example/a:1'), ['r.example/a:1'])
  assert.deepEqual(places(together, `r.example/a@${digest}`), [`m.example/a@${digest}`, `r.example/a@${digest}`])
})

test('what is blocked may not be asked, though its mirrors may', () => {
  const conf = confOf(`
    [[registry]]
    location = "r.example"
    blocked = true
    [[registry.mirror]]
    location = "m.example"
    [[registry.mirror]]
    location = "bad.example"
    [[registry]]
    location = "bad.example"
    blocked = true`)
  const endpoints = endpointsFor(conf, parseReference('r.example/a:1'))
  assert.deepEqual(
    endpoints.map(({ blockedBy }) => blockedBy?.prefix),
    [undefined, 'bad.example', 'r.example'],
  )
  for (const endpoint of [endpoints[2], directEndpoint(conf, parseReference('r.example/a:1'))]) {
    assert.ok(endpoint !== undefined)
    assert.throws(() => checkAllowed(endpoint), {
      code: 'registry',
      message: /^r\.example\/a:1 is blocked by .*registries\.conf$/,
      hint: /'r\.example' in .*registries\.conf says blocked/,
    })
  }
})

test('pushing goes to the place that the name says', () => {
  const conf = confOf(
    '[[registry]]\nprefix = "r.example"\nlocation = "moved.example"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.example"\n',
  )
  const endpoint = directEndpoint(conf, parseReference('r.example/a:1'))
  assert.equal(formatReference(endpoint.reference), 'r.example/a:1')
  assert.equal(endpoint.insecure, true)
})

test('a location that makes no full name is refused', () => {
  for (const location of ['mirror', 'Upper.example/Path', 'm.example:port']) {
    const conf = `[[registry]]\nprefix = "r.example"\nlocation = "${location}"\n`
    assert.throws(() => places(conf, 'r.example/a:1'), {
      code: 'settings',
      message: /which is no full name/,
      hint: /'r\.example'/,
    })
  }
})
