# The server, with its pages: `docker build -t pollz .`
FROM node:24-slim AS manifests
WORKDIR /app
COPY package.json package-lock.json ./
COPY shared/package.json shared/
COPY check/package.json check/
COPY widget/package.json widget/
COPY engine/package.json engine/
COPY extension/package.json extension/
COPY site/package.json site/
COPY server/package.json server/
COPY tap/package.json tap/
COPY deploy/package.json deploy/
COPY e2e/package.json e2e/

FROM manifests AS build
RUN npm ci --ignore-scripts --no-audit --no-fund --omit=dev \
  --workspace shared --workspace check --workspace widget --workspace engine --workspace site
COPY tsconfig.base.json .
COPY shared shared
COPY check check
COPY widget widget
COPY engine engine
COPY site site
RUN npm run prepare && npm run build --workspace site

FROM manifests AS packages
RUN npm ci --ignore-scripts --no-audit --no-fund --omit=dev \
  --workspace shared --workspace check --workspace server

FROM node:24-slim
# For polls' pictures: scripts that the server's own font lacks.
RUN apt-get update && apt-get install -y --no-install-recommends \
  fonts-dejavu-core fonts-droid-fallback fonts-noto-color-emoji && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production DATABASE_URL=file:/data/pollz.db
COPY --from=packages /app .
COPY --from=build /app/shared shared
COPY --from=build /app/site/.output site/.output
# What the pages are built from is not installed here, so neither is this link.
RUN ln -sfn ../../site node_modules/@pollz/site
COPY check/src check/src
COPY server/src server/src
RUN mkdir /data && chown node /data
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:` + (process.env.PORT || 3000) + `/health`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/src/main.ts"]
