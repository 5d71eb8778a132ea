# Sourced by the shell that runs a page: what a reader's own terminals and package manager do.
# $SEGMENTS: one file for each segment, its output beside it.

pids=()
server=
SERVES="Jobyard is ready"

npx() {
  [[ "${1:-} ${2:-}" == "-y pnpm@12" ]] || { echo "The pages know no such command: npx $*" >&2; return 64; }
  shift 2
  pnpm "$@"
}

# The root's scripts are really run, all but the tests, of which these are a part.
pnpm() {
  if [[ ${1:-} == -s ]]; then shift; fi
  local script=$1
  shift
  case $script in
    test) node -e 'if (!require("./package.json").scripts.test) process.exit(1)' ;;
    exec)
      # Tests of tests: that there are any.
      if [[ $1 == vitest ]]; then [[ -n $(node_modules/.bin/vitest list --filesOnly "${@:3}") ]]; return; fi
      PATH="$PWD/node_modules/.bin:$PATH" "$@"
      ;;
    *)
      script=$(node -p "require('./package.json').scripts['$script'] ?? 'exit 254'")
      PATH="$PWD/node_modules/.bin:$PATH" sh -c "$script \"\$@\"" "$script" "$@"
      ;;
  esac
}

jobs() { node --conditions=@jobyard/source apps/cli/src/main.ts "$@"; }

# An answer that is no success fails its page, unless the page shows it. Only that a reader stops listening is no failure.
curl() {
  local code=0 listening=no fail=--fail-with-body word
  for word in "$@"; do
    if [[ $word == --max-time ]]; then listening=yes; fi
    if [[ $REFUSED == yes || $word =~ ^-[a-zA-Z]*f ]]; then fail=; fi
  done
  command curl $fail "$@" || code=$?
  if [[ $code == 28 && $listening == yes ]]; then return 0; fi
  return "$code"
}

redis-server() { command redis-server --port "$REDIS_PORT" --dir "$PWD" --save '' "$@"; }
redis-cli() { command redis-cli -p "$REDIS_PORT" "$@"; }

end() {
  kill -TERM -- "-$1" 2>/dev/null || true
  local code=0
  wait "$1" 2>/dev/null || code=$?
  # 143: SIGTERM, by which it was ended.
  if [[ $code != 0 && $code != 143 ]]; then echo "What ran in the background ended with $code" >&2; return "$code"; fi
}

# foreground NUMBER LINE
foreground() {
  echo "$2" >"$SEGMENTS/line"
  . "$SEGMENTS/$1.sh" >"$SEGMENTS/$1.out" 2>"$SEGMENTS/$1.err"
}

# background NUMBER LINE PATTERN: goes on once it has printed what matches. There is one server at a time.
background() {
  local serves=no
  echo "$2" >"$SEGMENTS/line"
  if [[ $3 == "$SERVES" ]]; then serves=yes; fi
  if [[ $serves == yes && -n $server ]]; then end "$server"; fi
  : >"$SEGMENTS/$1.out"
  ( . "$SEGMENTS/$1.sh" ) >"$SEGMENTS/$1.out" 2>"$SEGMENTS/$1.err" &
  local pid=$!
  echo "$pid" >>"$SEGMENTS/pids"
  if [[ $serves == yes ]]; then server=$pid; else pids+=("$pid"); fi
  grep -qm1 -- "$3" <(tail -f -n +1 "--pid=$pid" "$SEGMENTS/$1.out" 2>/dev/null)
}

# Whoever reads what was printed says when it may end.
over() {
  echo over >&9
  read -r -u 9
}

finish() {
  local code=$? pid
  trap - EXIT
  set +e
  # Those that were started last end first: the server outlives its workers, and Redis the server.
  for pid in $(printf '%s\n' "${pids[@]}" | sort -rn) $server; do end "$pid" || code=1; done
  exit "$code"
}
trap finish EXIT
trap 'exit 1' TERM
