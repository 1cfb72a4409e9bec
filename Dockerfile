FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY shared/package.json shared/
COPY server/package.json server/
COPY extension/package.json extension/
COPY tap/package.json tap/
COPY e2e/package.json e2e/
COPY shared shared
RUN npm ci --omit=dev --workspace server --workspace shared --include-workspace-root --ignore-scripts \
  && npm run prepare

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production DATABASE_URL=file:/data/pollz.db
COPY --from=build /app /app
COPY server server
RUN mkdir /data && chown node /data
USER node
VOLUME /data
EXPOSE 3000
CMD ["node", "server/src/main.ts"]
