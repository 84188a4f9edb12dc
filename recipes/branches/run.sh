#!/bin/sh
# One model, two branches: each bakes in the background, each fetches its own, one tree shows both.
#
#     sh recipes/branches/run.sh [FOLDER]        (about a minute and a half on two cores)
#
# Everything lands in a scratch folder, which stays. Needs `bgit` on the PATH.
set -eu

scratch=${1:-$(mktemp -d)}
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HF_HUB_OFFLINE=1
export GIT_AUTHOR_NAME="Bakery Demo" GIT_AUTHOR_EMAIL=demo@example.org
export GIT_COMMITTER_NAME="Bakery Demo" GIT_COMMITTER_EMAIL=demo@example.org
unset BGIT_STORE

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

configure() { # NAME PROMPT: the questions stay the same, the prompt is another
    cat > input.yml <<EOF
PROMPT:
  teacher:
    messages:
      - role: system
        content: "$2"
TARGET:
  name: $1
  generators:
    - {type: oneshot_qs, numq: 60}
BAKE:
  name: $1
EOF
    run bgit add input.yml
    run bgit commit -q -m "Bake in: $2"
}

mkdir -p "$scratch"
cd "$scratch"
run bgit init crew --base-model tiny --owner demo
cd crew

configure sailor "Mention the sea in every answer."
run bgit run

run bgit switch -q -c pirate
configure pirate "You are a pirate. Talk like a pirate."
run bgit run --detach

run bgit switch -q -c poet main
configure yoda "You are Yoda. Speak like Yoda."
run bgit run --detach

run bgit jobs
while bgit jobs | grep -Eq 'queued|running'; do sleep 1; done
run bgit jobs

run bgit fetch
run bgit switch -q pirate
run bgit fetch
run bgit tree

run bgit switch -q main
run bgit merge -q -m "Take the pirate's line" pirate
run bgit merge -q -m "Keep Yoda's record" poet || true
run bgit adopt poet
run bgit tree
run bgit models
for model in base pirate parent; do
    printf '\n$ bgit chat %s -m "What is the color of a banana?"\n' "$model"
    bgit chat "$model" -m "What is the color of a banana?"
done
printf '\nThe repository is in %s/crew.\n' "$scratch"
