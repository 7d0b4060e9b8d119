// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the braces are those of the templates under test
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTemplate } from '../../src/bundle/template.ts'
import { readJsonFile, renderJsonTemplate } from '../../src/bundle/template-json.ts'

const file = '/exports/config.json.template'

function render(text: string, values: Record<string, string>): unknown {
  return renderJsonTemplate(parseTemplate(text, file), new Map(Object.entries(values)))
}

test('a value inside a string stays inside it, whatever it holds', () => {
  for (const value of ['"', '\\', 'a\nb', '", "x": "', 'ü\u0007', '']) {
    assert.deepEqual(render('{"env": ["NAME=$NAME", "${NAME}"]}', { NAME: value }), { env: [`NAME=${value}`, value] })
  }
})

test('a value outside a string is a piece of JSON', () => {
  const text = '{"mounts": [{"destination": "/proc \\" $NAME"}\n$ADDTL_MOUNTS\n], "caps": [$CAPS]}'
  assert.deepEqual(render(text, { NAME: 'n', ADDTL_MOUNTS: '', CAPS: '"CAP_KILL", "CAP_CHOWN"' }), {
    mounts: [{ destination: '/proc " n' }],
    caps: ['CAP_KILL', 'CAP_CHOWN'],
  })
  assert.deepEqual(render(text, { NAME: 'n', ADDTL_MOUNTS: ',{"destination": "/srv"}', CAPS: '' }), {
    mounts: [{ destination: '/proc " n' }, { destination: '/srv' }],
    caps: [],
  })
})

test('an escaped quote before a variable does not end the string', () => {
  assert.deepEqual(render('{"a": "say \\"$X\\" and \\\\", "b": $Y}', { X: '"', Y: '1' }), { a: 'say """ and \\', b: 1 })
})

test('a rendered text that is no JSON is refused with the place in the template and its variables', () => {
  const text = '{\n  "mounts": [\n    {"destination": "/proc"} $ADDTL_MOUNTS $OTHER\n  ]\n}'
  assert.throws(() => render(text, { ADDTL_MOUNTS: '\n\n{"destination": "/x"}', OTHER: '' }), {
    code: 'template',
    message: `The template file '${file}' renders to invalid JSON at line 3, column 30: '{' where ',' or ']' is wanted (variables on that line: ADDTL_MOUNTS, OTHER)`,
  })
})

for (const [text, place] of [
  ['{"a": 1,}', "line 1, column 9: '}' where a key in double quotes is wanted"],
  ['[1\n,\n]', "line 3, column 1: ']' where a value is wanted"],
  ['{"a": "b', 'line 1, column 9: a string without end'],
  ['{"a": "b\n"}', 'line 1, column 9: a string with a line break or control character'],
  ['["\\x"]', 'line 1, column 3: a string with a bad escape'],
  ['{"a" 1}', "line 1, column 6: '1' where ':' is wanted"],
  ['{} {}', "line 1, column 4: '{' after the end of the value"],
  ['', 'line 1, column 1: the text ends too early'],
  ['[01]', "line 1, column 3: '1' where ',' or ']' is wanted"],
  ["{'a': 1}", "line 1, column 2: ''' where a key in double quotes is wanted"],
  ['[tru]', "line 1, column 2: 't' where a value is wanted"],
] as const) {
  test(`the fault of ${JSON.stringify(text)} is found`, () => {
    assert.throws(() => readJsonFile(text, '/exports/manifest.json', { code: 'exports' }), {
      code: 'exports',
      message: `The file '/exports/manifest.json' is not valid JSON at ${place}`,
    })
  })
}

test('integers of 64 bits keep every digit', () => {
  assert.deepEqual(render('{"limit": 9223372036854775807, "small": 7, "ratio": 0.5}', {}), {
    limit: 9223372036854775807n,
    small: 7,
    ratio: 0.5,
  })
})

test('JSON that is too deep is over a limit, in the template or in a value', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  for (const given of [() => render(deep, {}), () => render('{"a": $DEEP}', { DEEP: deep })]) {
    assert.throws(given, { code: 'limit', message: /^The template file '.*' has more than 128 levels/ })
  }
  assert.throws(() => readJsonFile(deep, '/exports/manifest.json', { code: 'exports' }), {
    code: 'limit',
    message: /^The file '\/exports\/manifest\.json' has more than 128 levels/,
  })
})

test('a fault on a line of very many variables is told with some of them', () => {
  const names = Array.from({ length: 50_000 }, (_, index) => `V${index}`)
  const text = `{"a": [\n${names.map((name) => `$${name}`).join(',')},\n]}`
  const values = Object.fromEntries(names.map((name) => [name, '1']))
  const last = text.replace('$V49999,\n]', '$V49999,]')
  assert.throws(() => render(last, values), {
    code: 'template',
    message: /line 2, column \d+: .* \(variables on that line: V0, V1, (V\d+, ){17}V19\)$/,
  })
})
