// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the braces are those of the templates under test
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTemplate, renderLineTemplate, renderTemplate, templateVariables } from '../../src/bundle/template.ts'

const values = new Map([
  ['NAME', 'etcd'],
  ['_x1', 'under'],
  ['EMPTY', ''],
])

function render(text: string): string {
  return renderTemplate(parseTemplate(text, '/exports/service.template'), values)
}

test('variables are replaced with and without braces, and a doubled dollar sign is one', () => {
  assert.equal(render('$NAME ${NAME}ctl $_x1-$EMPTY. $$NAME $$$NAME $$$$'), 'etcd etcdctl under-. $NAME $etcd $$')
})

test('a name ends where its letters, digits and underscores end', () => {
  assert.equal(render('$NAME.service /$NAME/'), 'etcd.service /etcd/')
  assert.deepEqual(templateVariables(parseTemplate('$NAMEé', 'f')), ['NAME'])
})

test('what a value holds is not expanded again', () => {
  const nested = new Map([['A', '$B $$']])
  assert.equal(renderTemplate(parseTemplate('$A', 'f'), nested), '$B $$')
})

test('variables are listed once, in the order of their first use', () => {
  assert.deepEqual(templateVariables(parseTemplate('$B ${A} $$C $B', 'f')), ['B', 'A'])
})

for (const [text, line, column] of [
  ['cost: 5$', 1, 8],
  ['ok\n  é $(date)', 2, 5],
  ['${NAME', 1, 1],
  ['${}', 1, 1],
  ['$$$', 1, 3],
  ['$1', 1, 1],
  ['${NA ME}', 1, 1],
] as const) {
  test(`a stray dollar sign in ${JSON.stringify(text)} is refused with its line and column`, () => {
    assert.throws(() => parseTemplate(text, '/exports/config.json.template'), {
      code: 'template',
      message: `The template file '/exports/config.json.template' has a stray '$' at line ${line}, column ${column}`,
    })
  })
}

test('a variable without value stops the rendering and is named, and the hint names them all', () => {
  assert.throws(() => render('$NAME $PORT ${TOKEN}'), {
    code: 'template',
    message: "The template file '/exports/service.template' still contains an unreplaced value for: ''PORT''",
    hint: 'Set it: --set PORT=VALUE --set TOKEN=VALUE',
  })
})

test('a value with a line break is refused in a format of lines', () => {
  const template = parseTemplate('ExecStart=$CMD\n', '/exports/service.template')
  assert.equal(renderLineTemplate(template, new Map([['CMD', '/bin/true']])), 'ExecStart=/bin/true\n')
  for (const value of ['a\nExecStartPre=/bin/evil', 'a\r']) {
    assert.throws(() => renderLineTemplate(template, new Map([['CMD', value]])), { code: 'template', message: /'CMD'/ })
  }
})

test('of very many variables without a value the hint names some', () => {
  const text = Array.from({ length: 50_000 }, (_, index) => `$V${index}`).join(' ')
  assert.throws(() => render(text), { code: 'template', hint: /^Set it: (--set V\d+=VALUE ){20}…$/ })
})

test('values that make a text too large are refused before it is made', () => {
  const template = parseTemplate('$A'.repeat(100_000), '/exports/service.template')
  assert.throws(() => renderTemplate(template, new Map([['A', 'x'.repeat(100_000)]])), {
    code: 'limit',
    message: /^The template file '\/exports\/service\.template' has more than 1048576 bytes with the values in it$/,
  })
})
