/** The permission to show notifications, which somebody is asked for when they first want to be told of a poll's end. */
import { browser } from 'wxt/browser'

export const NOTIFICATIONS = { permissions: ['notifications' as const] }

export const mayNotify = (): Promise<boolean> => browser.permissions.contains(NOTIFICATIONS)
