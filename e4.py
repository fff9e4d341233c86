import pickle,pandas as pd,os
out=pickle.load(open('/tmp/fingerprints/urbansound8k_part.out','rb'))
t=pd.read_csv('/work/shared/data/urbansound8k_part/metadata/UrbanSound8K.csv').set_index('slice_file_name')
best={}
for e,a,b,m in out:
    k=(a.name,b.name)
    if k not in best or best[k][0]<e: best[k]=(e,m)
kinds={}
rows=[]
for (a,b),(e,m) in best.items():
    x,y=t.loc[a],t.loc[b]
    if x.fsID!=y.fsID: kind='other'
    else:
        ov=min(x.end,y.end)-max(x.start,y.start)
        kind='overlap' if ov>0 else 'same, apart'
    rows.append((kind,e,a,b,m, (x['class'],y['class'])))
d=pd.DataFrame(rows,columns=['kind','e','a','b','m','c'])
for lo in (12,15,20,25,30,35,40,50,70):
    print(lo,d[d.e>=lo].kind.value_counts().to_dict())
# recall of true overlaps >=1 s
names=set(p for p in os.listdir('/work/shared/data/urbansound8k_part/audio/fold1'))
import itertools
present=[f for f in t.index if os.path.exists(f'/work/shared/data/urbansound8k_part/audio/fold{t.loc[f].fold}/{f}')]
tt=t.loc[present]; n=f_=0; miss=[]
for fs,g in tt.groupby('fsID'):
    for (a,x),(b,y) in itertools.combinations(g.iterrows(),2):
        ov=min(x.end,y.end)-max(x.start,y.start)
        if ov>=0.95:
            n+=1
            hit=best.get((a,b)) or best.get((b,a))
            if hit and hit[0]>=30: f_+=1
            else: miss.append((a,b,ov,hit, x['class']))
print('overlap>=1s',n,'found',f_); print(miss[:30]); print(pd.Series([m[-1] for m in miss]).value_counts())
pd.set_option('display.width',250); pd.set_option('display.max_rows',500); pd.set_option('display.max_colwidth',90)
print(d[d.kind=='other'].sort_values('e',ascending=False).head(60).to_string())
print(d[(d.kind=='same, apart')].sort_values('e',ascending=False).head(40).to_string())
