"""Longer texts of docs/configuration.md."""

FILES = """\
## Several files

The configuration may be spread over files, and parts of it may be switched on by name:

```yaml
include:                # below this file: what this file says comes on top
  - providers/*.yaml    # as seen from this file's folder; in order of names
  - ~/team/*.yaml

profiles:               # on top of everything, if MESHD_PROFILE names them
  travel:
    pools:
      chat: {strategy: cost-first}
```

- **`conf.d`**: every `.yaml`, `.yml`, `.toml` and `.json` file in the folder `conf.d` next to a file named `mesh.yaml`
  (or `mesh.toml`, …) comes on top of it, in order of names. Hidden files and those of other endings do not count.
- **`MESHD_PROFILE=travel,home`** in the daemon's environment switches profiles on, in this order. Those that are not in
  use are checked for keys and types. A profile may be spread over files; it cannot include any.
- **Merging**: maps are merged key by key; everything else, lists too, is replaced. An empty value leaves a map as it
  is.
- Each file counts once, where it is read first. Files that include each other are an error, as are more than 256
  files, more than 8 levels, and more than 8 MiB. In a path, `${env:…}` is not resolved.
- Relative paths of other keys (`secrets.path`) start at the main file's folder.
- Every file has to be one that only root and the daemon's own user can change, as the main one
  ([security.md](security.md)). The daemon follows all of them, and new ones that match.
- Problems name the file and the line. `meshctl config files` lists the files and profiles in use;
  `meshctl config show --origins` shows where each value is written.
"""
