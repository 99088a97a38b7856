# make conformance   everything: environment, engine, images, clusters, run, report, clean-up
# make test          the suite's own tests, real clusters included
# make test-user     as root: a run of a user's without root, on an engine that pulls from a mirror
# make test-faults   real runs that are killed, paused, starved and restarted: at most 20 minutes
# make bench         how long a run takes, and where its time goes: two real runs
# make bench-judges  what judging costs beside tshark and scapy, on a run that is there: RUN=results/latest
# make bench-capture what the capture costs whom it watches, as root: two network namespaces, 5 minutes
# make soak          the same selection N times, all judged again: what is unstable; N=0 FOLDERS= counts only
# make lint          ruff and mypy, over the package, its tests and the fixture programs
# make upgrade-check  what an upgrade of a mesh would lose: FROM=1.29.2 TO=1.30.0 VALUES=my-values.yaml
# make reproduce     one failure mode of the article: FAILURE=startup-race; without it, their names
# make list          the behaviours
# make clean         remove kept clusters, what killed runs left, and the suite's own engine
# make clean-all     the cache and .venv too
#
# Narrow a run with K8S= SIDECAR= PATTERN= MODE= SCENARIO= BEHAVIOUR= LEVEL= (values separated by
# commas, and globs such as BEHAVIOUR='stop.*'); RESULTS= names another
# folder for results, SIDECAR=./mine.yaml PODS=./pods.yaml are your own (docs/own.md), KEEP=1 leaves the clusters up, IMAGES=auto|pull|build, WORKERS=n, REPEAT=n, NODES=n,
# STRICT=1, KUBECONFIG_FILE= CONTEXT= AGENT=auto|none WITH_CONTROLS=1 (a cluster of your own: see
# docs/own-cluster.md), ISTIO_VERSION=, LINKERD_VERSION=, ISTIO_VALUES=, LINKERD_VALUES=, TAKE_AWAY= (a self-test). PYTHON= names another Python 3.11 or newer.

.DEFAULT_GOAL := help
.PHONY: help conformance upgrade-check test test-user test-faults bench bench-judges bench-capture soak reproduce lint list clean clean-all .venv-ready .python-ready

PYTHON ?= python3
VENV := .venv/bin
PYTEST_ARGS ?=
# Programs that run alone, in images: the modules of one folder are one program's or a few's.
PROGRAMS = $(sort $(patsubst %/,%,$(dir $(wildcard fixtures/*/*.py))))

# One shell word, whatever the user wrote.
quoted = '$(subst ','\'',$(strip $(1)))'
# A variable as an option; an empty one too, if it stands on the command line: it is refused.
on_command_line = $(filter command,$(origin $(1)))
option = $(if $(strip $($(2)))$(call on_command_line,$(2)),--$(1)=$(call quoted,$($(2))))
flag = $(if $(filter-out 0 no false,$(strip $($(2)))),--$(1))

CHOICES = $(call option,k8s,K8S) $(call option,sidecar,SIDECAR) \
	$(call option,sidecar-file,SIDECAR_FILE) $(call option,pods,PODS) \
	$(call option,pattern,PATTERN) $(call option,mode,MODE) \
	$(call option,scenario,SCENARIO) $(call option,behaviour,BEHAVIOUR) \
	$(call option,level,LEVEL) \
	$(call option,images,IMAGES) $(call option,image-prefix,IMAGE_PREFIX) \
	$(call option,take-away,TAKE_AWAY) \
	$(call option,workers,WORKERS) $(call option,repeat,REPEAT) $(call option,nodes,NODES) \
	$(call option,istio-version,ISTIO_VERSION) $(call option,linkerd-version,LINKERD_VERSION) \
	$(call option,istio-values,ISTIO_VALUES) $(call option,linkerd-values,LINKERD_VALUES)
OPTIONS = $(CHOICES) $(call option,results,RESULTS) \
	$(call option,kubeconfig,KUBECONFIG_FILE) $(call option,context,CONTEXT) \
	$(call option,agent,AGENT) $(call option,on-node,ON_NODE) $(call flag,with-controls,WITH_CONTROLS) \
	$(call flag,keep,KEEP) $(call flag,strict-promises,STRICT)

SHOWN = $(call option,k8s,K8S) $(call option,sidecar,SIDECAR) $(call option,pattern,PATTERN) \
	$(call option,images,IMAGES) $(call option,results,RESULTS) $(call flag,keep,KEEP)

# Every variable of the command line: an unknown one would be ignored, and the wrong thing run.
NAMES := $(foreach name,$(.VARIABLES),$(if $(call on_command_line,$(name)),$(name)))
SWITCHES = $(foreach name,KEEP STRICT WITH_CONTROLS,$(if $(strip $($(name))),--switch=$(call quoted,$(name)=$($(name)))))
CHECK = $(PYTHON) -m conformance.plan.check --target=$@ $(SWITCHES) \
	$(foreach name,$(NAMES),--variable=$(call quoted,$(name)))

# make itself answers 2 for any failure, so the command's own code is printed.
say_code = { code=$$?; echo "sidecar-conformance: exit code $$code ($(1))" >&2; exit $$code; }

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

# exec, so that a signal sent to make reaches the run itself and no shell stands between.
conformance: .python-ready
	@$(CHECK) $(OPTIONS) || $(call say_code,wrong use)
	@$(MAKE) --no-print-directory .venv-ready
	@exec $(VENV)/sidecar-conformance run $(OPTIONS)

# Two runs, and what the second has lost.
upgrade-check: .python-ready
	@$(CHECK) $(OPTIONS) || $(call say_code,wrong use)
	@$(MAKE) --no-print-directory .venv-ready
	@exec $(VENV)/sidecar-conformance upgrade-check $(call option,from,FROM) $(call option,to,TO) \
		$(call option,values,VALUES) $(OPTIONS)

test: .venv-ready
	@exec $(VENV)/python -m pytest $(PYTEST_ARGS)

test-user: .venv-ready
	@exec $(VENV)/python -m pytest -m user tests/user $(PYTEST_ARGS)

# -s: the progress is seen as it is made.
test-faults: .venv-ready
	@exec $(VENV)/python -m pytest -s -m faults tests/faults $(PYTEST_ARGS)

bench: .python-ready
	@$(CHECK) $(CHOICES) || $(call say_code,wrong use)
	@$(MAKE) --no-print-directory .venv-ready
	@$(VENV)/python -m conformance.bench $(CHOICES) || $(call say_code,see above)

bench-judges: .venv-ready
	@exec $(VENV)/python -m conformance.measures $(call quoted,$(or $(RUN),results/latest))

bench-capture: .venv-ready
	@exec $(VENV)/python -m conformance.measures.capture $(call quoted,$(or $(RESULTS),results)/bench.json)

soak: .python-ready
	@$(CHECK) $(OPTIONS) || $(call say_code,wrong use)
	@$(MAKE) --no-print-directory .venv-ready
	@$(VENV)/python -m conformance.soak $(call quoted,$(N)) $(OPTIONS) $(FOLDERS) || $(call say_code,see above)

# One version, one sidecar: the others are chosen for a run.
reproduce: .python-ready
	@$(CHECK) $(call option,failure,FAILURE) $(SHOWN) || $(call say_code,wrong use)
	@$(MAKE) --no-print-directory .venv-ready
	@exec $(VENV)/sidecar-conformance reproduce $(call quoted,$(FAILURE)) $(SHOWN)

lint: .venv-ready
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	@for folder in $(PROGRAMS); do \
		echo "mypy in $$folder"; \
		( cd $$folder && $(CURDIR)/$(VENV)/mypy --strict --python-version 3.11 \
			--cache-dir $(CURDIR)/.mypy_cache/$$folder *.py ) || exit; done

list: .venv-ready
	@exec $(VENV)/sidecar-conformance list

clean: .venv-ready
	@$(VENV)/python -m conformance.clean || $(call say_code,see above)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache build
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	@echo "results/ is yours and stays; .venv and the cache go with make clean-all."

clean-all: .venv-ready
	@$(VENV)/python -m conformance.clean --all || $(call say_code,the cache stays)
	@rm -rf .venv
	@$(MAKE) --no-print-directory .clean-rest

.PHONY: .clean-rest
.clean-rest:
	@rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@echo "results/ is yours and stays."

.venv-ready: .python-ready
	@$(PYTHON) -m conformance.machine.venv || \
		$(call say_code,the Python environment could not be set up)

# Before anything of the suite is imported: its modules need the newer standard library.
.python-ready:
	@command -v $(PYTHON) > /dev/null || { \
		echo "sidecar-conformance: $(PYTHON) is not installed; install Python 3.11 or newer," \
			"or name it with PYTHON=." >&2; \
		echo "sidecar-conformance: exit code 3 (no Python)" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "sidecar-conformance: Python 3.11 or newer is needed, and $$($(PYTHON) --version)" \
			"is what $(PYTHON) is; install it, or name another one with PYTHON=." >&2; \
		echo "sidecar-conformance: exit code 3 (Python is too old)" >&2; exit 3; }
