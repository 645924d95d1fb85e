"""Where results are, as patterns that rules and steps share.

A folder named `{key}` holds what that key names, and its record; what has a name of its own records its key beside it.
"""

RESULTS = "results"
KEY = "[0-9a-f]{20}"

DATASET = f"{RESULTS}/datasets/{{dataset}}/{{key}}"
DATASET_LISTING = f"{RESULTS}/datasets/{{dataset}}/files.{{key}}.json"

_POINT = "{experiment}/{loss}/width{width}"
RUN = f"{RESULTS}/runs/{_POINT}/epochs{{epochs}}/seed{{seed}}/{{key}}"
TRUNK = f"{RESULTS}/trunks/{_POINT}/seed{{seed}}/to{{to}}/{{key}}"
# The candidates for the value of what is tuned, the choice, and what is trained with the chosen one.
CHOICE = f"{RESULTS}/tuning/{_POINT}/epochs{{epochs}}/choice/{{key}}"
CANDIDATE = f"{RESULTS}/tuning/{_POINT}/epochs{{epochs}}/seed{{seed}}/{{tuned}}{{candidate}}/{{key}}"
CANDIDATE_TRUNK = f"{RESULTS}/trunks/{_POINT}/seed{{seed}}/{{tuned}}{{candidate}}/to{{to}}/{{key}}"
# Runs of several losses and seeds that are trained as one.
STACK = f"{RESULTS}/stacks/{{experiment}}/stack{{number}}/width{{width}}/epochs{{epochs}}/{{key}}"
STACK_TRUNK = f"{RESULTS}/trunks/{{experiment}}/stack{{number}}/width{{width}}/to{{to}}/{{key}}"
# What is measured on a training is below it.
FEATURES = "features/{features_key}"
NC_METRICS = "nc_metrics/{metrics_key}"

TABLES = f"{RESULTS}/tables/{{experiment}}"
FIGURES = f"{RESULTS}/figures/{{experiment}}"

STUDY = f"{RESULTS}/studies/{{study}}"
THEORY_TABLES = f"{STUDY}/theory/tables"
THEORY_FIGURES = f"{STUDY}/theory/figures"
