/** What the page was answered with. */
import type { PageState } from '../types.ts'

export const state = JSON.parse(document.getElementById('state')!.textContent!) as PageState
