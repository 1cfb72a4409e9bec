import type { Site } from './types.ts'
export declare const site: Site
