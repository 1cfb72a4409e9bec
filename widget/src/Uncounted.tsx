/** Under a link to a poll whose votes are not on atproto. */
import { useTexts } from './texts.ts'

export function Uncounted({ link }: { link: string }) {
  const { t } = useTexts()
  return (
    <p class="uncounted">
      {t('uncounted')}{' '}
      <a class="link" href={link} target="_blank" rel="noopener noreferrer">
        {t('openElsewhere', new URL(link).host)}
      </a>
    </p>
  )
}
