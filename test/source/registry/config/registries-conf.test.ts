import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatReference } from '../../../../src/image/reference.ts'
import { readRegistriesConf } from '../../../../src/source/registry/config/registries-conf.ts'
import { treeOf } from '../containers-files.ts'

const search = (host: string) => `unqualified-search-registries = ["${host}"]\n`

function searched(files: Record<string, string>, environment: Record<string, string> = {}, uid = 0) {
  using tree = treeOf(files)
  const inTree = Object.entries(environment).map(([name, file]) => [name, tree.path(file)])
  const place = { ...tree.place, uid, environment: { ...tree.place.environment, ...Object.fromEntries(inTree) } }
  return readRegistriesConf(place).search?.registries[0]
}

test('without any file nothing is said', () => {
  using tree = treeOf({})
  const conf = readRegistriesConf(tree.place)
  assert.deepEqual(conf.registries, [])
  assert.equal(conf.search, undefined)
  assert.equal(conf.shortNameMode, 'permissive')
  assert.deepEqual(conf.credentialHelpers, ['containers-auth.json'])
})

test("one main file is read: the user's, else that of /etc, else that of /usr/share", () => {
  const user = { 'root/.config/containers/registries.conf': search('user.example') }
  const etc = { 'etc/containers/registries.conf': search('etc.example') }
  const usr = { 'usr/share/containers/registries.conf': search('usr.example') }
  assert.equal(searched({ ...user, ...etc, ...usr }), 'user.example')
  assert.equal(searched({ ...etc, ...usr }), 'etc.example')
  assert.equal(searched(usr), 'usr.example')
  const moved = { 'home/containers/registries.conf': search('moved.example') }
  assert.equal(searched({ ...user, ...moved }, { XDG_CONFIG_HOME: 'home' }), 'moved.example')
})

test('drop-ins of all folders are read by their names, and of one name the first folder counts', () => {
  const etc = 'etc/containers/registries.conf.d'
  const base = { 'etc/containers/registries.conf': search('main.example') }
  assert.equal(
    searched({ ...base, [`${etc}/1.conf`]: search('one.example'), [`${etc}/2.txt`]: 'no toml' }),
    'one.example',
  )
  assert.equal(
    searched({
      [`${etc}/1.conf`]: search('a.example'),
      'usr/share/containers/registries.conf.d/2.conf': search('b.example'),
    }),
    'b.example',
  )
  assert.equal(
    searched({
      [`${etc}/1.conf`]: search('a.example'),
      'usr/share/containers/registries.conf.d/1.conf': search('b.example'),
    }),
    'a.example',
  )
  assert.equal(
    searched({
      [`${etc}/1.conf`]: search('a.example'),
      'root/.config/containers/registries.conf.d/1.conf': search('b.example'),
    }),
    'b.example',
  )
  const special = {
    'etc/containers/registries.rootful.conf.d/9.conf': search('root.example'),
    'etc/containers/registries.rootless.conf.d/1000/9.conf': search('user.example'),
  }
  assert.equal(searched(special), 'root.example')
  assert.equal(searched(special, {}, 1000), 'user.example')
})

test('the environment names the only file, or one that comes last', () => {
  const files = {
    'etc/containers/registries.conf.d/9.conf': search('etc.example'),
    only: search('only.example'),
    last: search('last.example'),
  }
  assert.equal(searched(files, { CONTAINERS_REGISTRIES_CONF: 'only' }), 'only.example')
  assert.equal(searched(files, { CONTAINERS_REGISTRIES_CONF_OVERRIDE: 'last' }), 'last.example')
  assert.throws(() => searched(files, { CONTAINERS_REGISTRIES_CONF: 'gone' }), {
    code: 'settings',
    message: /gone, which is not there/,
  })
})

test('registries merge by prefix, aliases by name, and the rest as a whole', () => {
  using tree = treeOf({
    'etc/containers/registries.conf': `
      unqualified-search-registries = ["a.example", "b.example"]
      short-name-mode = "enforcing"
      credential-helpers = ["pass", "containers-auth.json"]
      an-unknown-key = { of = "another tool" }
      [[registry]]
      location = "a.example/"
      insecure = true
      [[registry]]
      location = "b.example"
      [aliases]
      "etcd" = "quay.io/coreos/etcd"
      "busybox" = "docker.io/busybox"
      "gone" = "docker.io/gone"`,
    'etc/containers/registries.conf.d/1.conf': `
      unqualified-search-registries = []
      short-name-mode = ""
      [[registry]]
      prefix = "a.example"
      location = "elsewhere.example"
      [aliases]
      "etcd" = "registry.example/etcd"
      "gone" = ""`,
  })
  const conf = readRegistriesConf(tree.place)
  const tables = conf.registries.map(({ prefix, location, insecure }) => [prefix, location, insecure])
  assert.deepEqual(tables, [
    ['a.example', 'elsewhere.example', false],
    ['b.example', 'b.example', false],
  ])
  assert.deepEqual(conf.search, { registries: [], file: tree.path('etc/containers/registries.conf.d/1.conf') })
  assert.equal(conf.shortNameMode, 'enforcing')
  assert.deepEqual(conf.credentialHelpers, ['pass', 'containers-auth.json'])
  const targets = [...conf.aliases].map(([name, { target }]) => [name, target && formatReference(target)])
  assert.deepEqual(Object.fromEntries(targets), {
    etcd: 'registry.example/etcd:latest',
    busybox: 'docker.io/library/busybox:latest',
    gone: undefined,
  })
})

test('the short names that Podman recorded go before all others', () => {
  const cache = '[aliases]\n"etcd" = "recorded.example/etcd"\n'
  const files = {
    'etc/containers/registries.conf': '[aliases]\n"etcd" = "quay.io/coreos/etcd"\n',
    'var/cache/containers/short-name-aliases.conf': cache,
    'root/.cache/containers/short-name-aliases.conf': cache.replace('recorded', 'user'),
  }
  using tree = treeOf(files)
  for (const [uid, domain] of [
    [0, 'recorded.example'],
    [1000, 'user.example'],
  ] as const) {
    assert.equal(readRegistriesConf({ ...tree.place, uid }).aliases.get('etcd')?.target?.domain, domain)
  }
})

test('a file that makes no sense is named, with the line where it is not TOML', () => {
  const table = (text: string) => `[[registry]]\n${text}\n`
  const cases: [text: string, message: RegExp][] = [
    ['a = 1\nb = "x\n', /registries\.conf:2: not TOML: /],
    ['[registries.search]\nregistries = ["docker.io"]\n', /is of version 1/],
    ['unqualified-search-registries = "docker.io"', /unqualified-search-registries: /],
    ['unqualified-search-registries = ["docker.io/library"]', /'docker.io\/library' is not a host/],
    ['unqualified-search-registries = ["https://docker.io"]', /is an address/],
    ['short-name-mode = "maybe"', /short-name-mode: /],
    [table('insecure = true'), /neither prefix nor location/],
    [table('prefix = "a.example"'), /'a.example' has no location/],
    [table('prefix = "*.a.example/b"'), /after \*\. comes a host/],
    [table('location = "http://a.example"'), /is an address/],
    [table('location = "a.example"\ninsecure = "yes"'), /registry\.0\.insecure: /],
    [table('location = "a.example"\npull-from-mirror = "all"'), /belongs into its/],
    [
      table('location = "a.example"\n[[registry.mirror]]\ninsecure = true'),
      /\[\[registry.mirror\]\] of 'a.example' has no location/,
    ],
    [
      table('location = "a.example"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "often"'),
      /pull-from-mirror: /,
    ],
    [
      table(
        'location = "a.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "all"',
      ),
      /one must go/,
    ],
    [table('location = "a.example"\nproxy = "gopher://u:secret@x"'), /proxy is not the address/],
    [
      table('location = "a.example"') + table('prefix = "b.example"\nlocation = "a.example"\nblocked = true'),
      /comes twice, once with and once without blocked/,
    ],
    ['[aliases]\n"etcd:3" = "quay.io/etcd"', /'etcd:3' is not a short name/],
    ['[aliases]\n"quay.io/etcd" = "quay.io/etcd"', /is not a short name/],
    ['[aliases]\n"etcd" = "quay.io/etcd:3"', /not a full name without tag/],
    ['[aliases]\n"etcd" = "coreos/etcd"', /not a full name/],
  ]
  for (const [text, message] of cases) {
    using tree = treeOf({ 'etc/containers/registries.conf': text })
    const file = tree.path('etc/containers/registries.conf')
    const check = (error: { code: string; message: string; hint: string }) => {
      assert.equal(error.code, 'settings')
      assert.match(error.message, message)
      assert.ok(error.message.includes(file) && error.hint !== undefined, error.message)
      assert.doesNotMatch(error.message, /\n|secret/)
      return true
    }
    assert.throws(() => readRegistriesConf(tree.place), check, text)
  }
})

test('of two tables with one prefix in a file the first counts', () => {
  using tree = treeOf({
    'etc/containers/registries.conf':
      '[[registry]]\nprefix = "a.example"\nlocation = "b.example"\n[[registry]]\nprefix = "a.example"\nlocation = "c.example"\n',
  })
  assert.deepEqual(
    readRegistriesConf(tree.place).registries.map(({ location }) => location),
    ['b.example'],
  )
})
