/** What the API is, for programs (OpenAPI 3.1): its bodies are made from the schemas that check them (shared/wire.ts). */
import {
  MAX_URIS,
  announcement,
  apiError,
  countedVotes,
  listedPoll,
  pollHistory,
  pollView,
  voteView,
} from '@pollz/shared/wire'
import { THEMES } from './cards.ts'

type JsonSchema = Record<string, unknown>

/** As much as is used here of how a lexicon's schema says what it is. */
type Lexicon = {
  type: string
  shape?: Record<string, Lexicon>
  validator?: Lexicon
  options?: { format?: string; maxLength?: number; minimum?: number; minLength?: number }
}

/** @throws for a kind that no body has */
function schemaOf(lexicon: Lexicon): JsonSchema {
  const { type, shape = {}, validator, options = {} } = lexicon
  const { format, maxLength, minimum, minLength } = options
  switch (type) {
    case 'object': {
      const fields = Object.entries(shape)
      return {
        type: 'object',
        properties: Object.fromEntries(
          fields.map(([name, it]) => [name, schemaOf(it.type === 'optional' ? it.validator! : it)]),
        ),
        required: fields.flatMap(([name, it]) => (it.type === 'optional' ? [] : [name])),
      }
    }
    case 'array':
      return {
        type: 'array',
        items: schemaOf(validator!),
        ...(minLength === undefined ? {} : { minItems: minLength }),
        ...(maxLength === undefined ? {} : { maxItems: maxLength }),
      }
    case 'string':
      return {
        type: 'string',
        ...(format === 'datetime' ? { format: 'date-time' } : {}),
        ...(maxLength === undefined ? {} : { maxLength }),
      }
    case 'integer':
      return { type: 'integer', ...(minimum === undefined ? {} : { minimum }) }
    case 'boolean':
      return { type: 'boolean' }
    default:
      throw new Error(`no body has a ${type}`)
  }
}

const schemas = {
  Poll: pollView,
  ListedPoll: listedPoll,
  Vote: voteView,
  CountedVotes: countedVotes,
  History: pollHistory,
  Announcement: announcement,
  Error: apiError,
}
const ref = (name: keyof typeof schemas) => ({ $ref: `#/components/schemas/${name}` })
const list = (name: keyof typeof schemas) => ({ type: 'array', items: ref(name) })

type Parameter = {
  name: string
  in: 'path' | 'query'
  description: string
  schema: JsonSchema
  required?: true
}

const uri: Parameter = {
  name: 'uri',
  in: 'path',
  required: true,
  description: 'at-uri of the poll, by DID or handle, percent-encoded',
  schema: { type: 'string' },
}
const query = (name: string, description: string, schema: JsonSchema): Parameter => ({
  name,
  in: 'query',
  description,
  schema,
})
const limit = (fallback: number) =>
  query('limit', 'how many', { type: 'integer', minimum: 1, maximum: 100, default: fallback })
const cursor = query('cursor', 'where the page before ended: as in its `Link: rel=next`', { type: 'string' })

type Operation = {
  method: 'get' | 'post'
  /** as Hono has it */
  path: string
  summary: string
  parameters?: Parameter[]
  answer: { type: string; schema: JsonSchema }
  body?: JsonSchema
}

const json = (schema: JsonSchema) => ({ type: 'application/json', schema })
const binary = (type: string) => ({ type, schema: { type: 'string', format: 'binary' } })

/** Every call below `/api`. */
export const operations: readonly Operation[] = [
  {
    method: 'get',
    path: '/polls',
    summary: 'Polls, the newest or the busiest first',
    parameters: [
      limit(50),
      cursor,
      query('sort', 'by their time, or by their votes of the last week', { enum: ['newest', 'busiest'] }),
    ],
    answer: json(list('ListedPoll')),
  },
  {
    method: 'get',
    path: '/polls/:uri',
    summary: 'A poll with its tally',
    parameters: [
      uri,
      query('verify', 'true: its votes, at most 200, are read anew from their PDSes first', {
        enum: ['true'],
      }),
    ],
    answer: json(ref('Poll')),
  },
  {
    method: 'get',
    path: '/polls/:uri/votes',
    summary: 'The votes that count, one for each voter',
    parameters: [uri, limit(100), cursor, query('voter', 'only that of this DID', { type: 'string' })],
    answer: json(list('Vote')),
  },
  {
    method: 'get',
    path: '/polls/:uri/votes.json',
    summary: 'All records that count, with what is needed to check them',
    parameters: [uri],
    answer: json(ref('CountedVotes')),
  },
  {
    method: 'get',
    path: '/polls/:uri/votes.csv',
    summary: 'All records that count, as a table',
    parameters: [uri],
    answer: { type: 'text/csv', schema: { type: 'string' } },
  },
  {
    method: 'get',
    path: '/polls/:uri/voters.bin',
    summary:
      'All voters, eight bytes each: the first six of the SHA-256 of the DID, and a set of options (bit 0: the first)',
    parameters: [uri],
    answer: binary('application/octet-stream'),
  },
  {
    method: 'get',
    path: '/polls/:uri/history',
    summary: 'How the vote went',
    parameters: [uri],
    answer: json(ref('History')),
  },
  {
    method: 'get',
    path: '/tallies',
    summary: 'The polls of one screen in one call; of one that is not there its error',
    parameters: [
      {
        ...query('uri', 'at-uris of polls', {
          type: 'array',
          items: { type: 'string' },
          minItems: 1,
          maxItems: MAX_URIS,
        }),
        required: true,
      },
    ],
    answer: json({ type: 'array', items: { anyOf: [ref('Poll'), ref('Error')] } }),
  },
  {
    method: 'post',
    path: '/votes',
    summary: 'This vote exists now, or no longer: the server reads it from its PDS. Answers with its poll',
    body: ref('Announcement'),
    answer: json(ref('Poll')),
  },
  {
    method: 'post',
    path: '/polls',
    summary: 'This poll exists now, or has changed: the server reads it from its PDS',
    body: ref('Announcement'),
    answer: json(ref('Poll')),
  },
]

/** `/polls/:uri` as OpenAPI has it. */
export const openApiPath = (path: string) => path.replaceAll(/:(\w+)/g, '{$1}')

/** @param publicUrl origin of the server */
export function openApi(publicUrl: string, version: string) {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const { method, path, summary, parameters = [], answer, body } of operations) {
    const at = (paths[`/api${openApiPath(path)}`] ??= {})
    at[method] = {
      summary,
      parameters,
      ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
      responses: {
        200: { description: summary, content: { [answer.type]: { schema: answer.schema } } },
        default: {
          description: 'why there is no answer',
          content: { 'application/json': { schema: ref('Error') } },
        },
      },
    }
  }
  paths['/poll/{repo}/{rkey}/card.png'] = {
    get: {
      summary: 'The result as a picture, 1200 by 630',
      parameters: [
        { name: 'repo', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'rkey', in: 'path', required: true, schema: { type: 'string' } },
        query('theme', 'its colours', { enum: THEMES }),
        query('lang', 'its language', { type: 'string' }),
      ],
      responses: { 200: { description: 'PNG', content: { 'image/png': {} } } },
    },
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'pollz',
      version,
      description: 'Polls on atproto, counted live. What moves is pushed at /live (WebSocket).',
    },
    servers: [{ url: publicUrl }],
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [name, schemaOf(schema as unknown as Lexicon)]),
      ),
    },
  }
}
