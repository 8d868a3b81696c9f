"""The tools that stand behind the portal: records, ranked search, typed stubs.

Read in the order of the data: ``gather`` (a listing, judged by ``schema``, named by ``naming``, becomes ``records``);
``convert`` and ``signature`` (a schema becomes ``shapes``); ``typenames`` and ``stubs`` (shapes become Python text);
``words``
and ``meaning`` (text), ``section``, ``postings``, ``index``, ``visibility`` and ``ranking`` (queries find tools);
``snapshot`` (all of it at one moment); ``reply`` (what an agent reads); ``live`` (the snapshot in force).
"""
