# dirmfa in a container: built once, run without npm, as nobody in particular.
# The Node.js that the tests run on, as Docker Hub served it in September 2026. Take a newer digest with its fixes for Debian now and
# then: `docker buildx imagetools inspect node:24.21.0-bookworm-slim` shows it.
FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json ./
# The npm package `node` is for machines without Node 24; the image has it.
RUN npm ci --ignore-scripts
COPY src src
COPY migrations migrations
COPY scripts/build.ts scripts/
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
# One malloc arena for all threads: pages of a listing pass through several, and each arena would keep its own peak.
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /opt/dirmfa
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
  && useradd --uid 10001 --home-dir /var/lib/dirmfa --create-home --skel /nonexistent --shell /usr/sbin/nologin dirmfa \
  && mkdir -p /etc/dirmfa \
  && ln -s /opt/dirmfa/dist/main.js /usr/local/bin/dirmfa
USER dirmfa
# /etc/dirmfa: dirmfa.yaml, password files, keys (read only). /var/lib/dirmfa: the embedded database, if it is used.
VOLUME ["/etc/dirmfa", "/var/lib/dirmfa"]
ENV DIRMFA_CONFIG=/etc/dirmfa/dirmfa.yaml
EXPOSE 8420
STOPSIGNAL SIGTERM
# Asks where the configuration says that it listens, with TLS or on a Unix socket too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["dirmfa", "health"]
ENTRYPOINT ["dirmfa"]
CMD ["serve"]
